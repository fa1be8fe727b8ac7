// Leaks objects of one named class, beside honest work; for tests of the next steps.
class LeakedOrder {
  constructor(number) {
    this.number = number;
    this.lines = new Array(100).fill(number + 0.5);
  }
}
const orders = [];
let number = 0;
setInterval(() => {
  for (let i = 0; i < 50; i++) orders.push(new LeakedOrder(number++));
  Buffer.alloc(100000).toString("hex");
}, 20);
console.log("ready");
