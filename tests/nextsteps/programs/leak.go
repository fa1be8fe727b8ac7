// Leaks from one named function, beside honest work; for tests of the next steps.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"time"
)

var orders [][]byte

//go:noinline
func leakOneOrder() { orders = append(orders, make([]byte, 65536)) }

//go:noinline
func serveOneRequest() int { return len(make([]byte, 100000)) }

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	fmt.Println("ready")
	for {
		leakOneOrder()
		serveOneRequest()
		time.Sleep(5 * time.Millisecond)
	}
}
