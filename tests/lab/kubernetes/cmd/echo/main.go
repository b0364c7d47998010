// Command echo is the lab's demo application: it says in JSON who answered and what it saw.
//
// `echo` serves HTTP/1.1 and HTTP/2 without TLS; `echo echo-l4` serves TCP, UDP and SCTP. Both take who they are from the
// environment (CLUSTER, NODE, POD, APP), answer readiness probes over HTTP at /healthz, and stop
// on SIGTERM in two steps: readiness fails first, then what is open may end.
package main

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// identity says which pod answered.
type identity struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Pod     string `json:"pod"`
	App     string `json:"app"`
}

// httpAnswer is what an HTTP request gets.
type httpAnswer struct {
	identity
	Client  string            `json:"client"`
	Host    string            `json:"host"`
	Path    string            `json:"path"`
	Proto   string            `json:"proto"`
	Headers map[string]string `json:"headers"`
}

// streamAnswer is what a connection, a line or a datagram gets.
type streamAnswer struct {
	identity
	Client   string `json:"client"`
	Protocol string `json:"protocol"`
	Data     string `json:"data"`
}

// stopping is set when SIGTERM has come: readiness fails from then on.
var stopping atomic.Bool

func main() {
	port := flag.Int("port", 8080, "port of the service")
	health := flag.Int("health-port", 8081, "port of /healthz in mode echo-l4")
	drain := flag.Duration("drain", 3*time.Second, "time between failing readiness and closing, for others to notice")
	flag.Parse()
	self := identity{os.Getenv("CLUSTER"), os.Getenv("NODE"), os.Getenv("POD"), os.Getenv("APP")}

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	var closeAll func()
	var err error
	if flag.Arg(0) == "echo-l4" {
		closeAll, err = serveStreams(self, *port, *health)
	} else {
		closeAll, err = serveHTTP(self, *port)
	}
	if err != nil {
		log.Fatal(err)
	}
	<-stop
	stopping.Store(true)
	time.Sleep(*drain)
	closeAll()
}
