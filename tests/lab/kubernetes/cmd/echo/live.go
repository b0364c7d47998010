package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// goodbye is how long a client may take to answer that a websocket ends.
const goodbye = 2 * time.Second

// streams are the websockets and event streams that are open. They last until end is called.
type streams struct {
	ending chan struct{}
	open   sync.WaitGroup
}

func newStreams() *streams {
	return &streams{ending: make(chan struct{})}
}

// end says goodbye to all, and returns when they are closed.
func (s *streams) end() {
	close(s.ending)
	s.open.Wait()
}

// talk greets a websocket with the answer that a request would get, and returns each of its messages.
func (s *streams) talk(w http.ResponseWriter, r *http.Request, answer httpAnswer) {
	s.open.Add(1)
	defer s.open.Done()
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		log.Print(err)
		return
	}
	defer socket.Close()
	if err := socket.WriteJSON(answer); err != nil {
		return
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.ending:
			message := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
			socket.WriteControl(websocket.CloseMessage, message, time.Now().Add(goodbye)) //nolint:errcheck // it ends anyway
			socket.SetReadDeadline(time.Now().Add(goodbye))                               //nolint:errcheck // never fails
		case <-done:
		}
	}()
	for {
		kind, data, err := socket.ReadMessage()
		if err != nil {
			return
		}
		if err := socket.WriteMessage(kind, data); err != nil {
			return
		}
	}
}

// tell sends the answer as a server-sent event at once and then every second.
func (s *streams) tell(w http.ResponseWriter, r *http.Request, answer httpAnswer) {
	s.open.Add(1)
	defer s.open.Done()
	data, err := json.Marshal(answer)
	if err != nil {
		log.Print(err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil || flush() != nil {
			return
		}
		select {
		case <-s.ending:
			return
		case <-r.Context().Done():
			return
		case <-ticks.C:
		}
	}
}
