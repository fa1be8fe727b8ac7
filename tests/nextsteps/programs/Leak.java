import java.util.ArrayList;
import java.util.List;

/** Leaks objects of one named class, beside honest work; for tests of the next steps. */
public class Leak {
  static class LeakedOrder {
    long a, b, c, d, e, f, g, h;
  }

  static final List<LeakedOrder> ORDERS = new ArrayList<>();

  public static void main(String[] args) throws Exception {
    System.out.println("ready");
    while (true) {
      for (int i = 0; i < 500; i++) ORDERS.add(new LeakedOrder());
      byte[] request = new byte[100000];
      request[0] = 1;
      Thread.sleep(20);
    }
  }
}
