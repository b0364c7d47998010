package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// serveHTTP answers every request with an httpAnswer, a path that ends in /events with a stream of them,
// and a request for a websocket with its messages. It returns the function that drains and closes.
func serveHTTP(self identity, port int) (func(), error) {
	live := newStreams()
	// No ServeMux: it would redirect paths that it calls unclean, and tests want to see what came.
	closeServer, err := listenHTTP(port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := answerTo(self, r)
		switch {
		case r.URL.Path == "/healthz":
			healthz(w, r)
		case websocket.IsWebSocketUpgrade(r):
			live.talk(w, r, answer)
		case strings.HasSuffix(r.URL.Path, "/events"):
			live.tell(w, r, answer)
		default:
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				log.Print(err)
			}
		}
	}))
	if err != nil {
		return nil, err
	}
	return func() {
		live.end()
		closeServer()
	}, nil
}

func answerTo(self identity, r *http.Request) httpAnswer {
	headers := make(map[string]string, len(r.Header))
	for name, values := range r.Header {
		headers[name] = strings.Join(values, ", ")
	}
	return httpAnswer{self, r.RemoteAddr, r.Host, r.RequestURI, r.Proto, headers}
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	if stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func listenHTTP(port int, handler http.Handler) (func(), error) {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	return func() {
		// Requests in flight may end; kept-alive connections that are idle are closed at once.
		deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(deadline); err != nil {
			log.Print(err)
		}
	}, nil
}
