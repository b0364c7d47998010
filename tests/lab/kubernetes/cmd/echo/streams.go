package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// serveStreams answers on TCP, UDP and, where the kernel has it, SCTP of one port.
func serveStreams(self identity, port, health int) (func(), error) {
	address := fmt.Sprintf(":%d", port)
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	go accept(tcp, self)
	go answerDatagrams(udp, self)
	if err := serveSCTP(self, port); err != nil {
		// A kernel without SCTP still serves the others.
		log.Printf("no SCTP: %v", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", healthz)
	closeHealth, err := listenHTTP(health, mux)
	if err != nil {
		return nil, err
	}
	return func() {
		tcp.Close()
		udp.Close()
		closeHealth()
	}, nil
}

func accept(listener net.Listener, self identity) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			converse(connection, self, connection.RemoteAddr().String(), "tcp")
		}()
	}
}

// converse greets with one answer at once, so that a client learns who serves it without a word,
// and then answers each line, so that a long stream can prove that it still has the same pod.
func converse(stream io.ReadWriter, self identity, client, protocol string) {
	encoder := json.NewEncoder(stream)
	if encoder.Encode(streamAnswer{self, client, protocol, ""}) != nil {
		return
	}
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		if encoder.Encode(streamAnswer{self, client, protocol, lines.Text()}) != nil {
			return
		}
	}
}

func answerDatagrams(socket net.PacketConn, self identity) {
	buffer := make([]byte, 65535)
	for {
		n, client, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		data := strings.TrimRight(string(buffer[:n]), "\r\n")
		answer, err := json.Marshal(streamAnswer{self, client.String(), "udp", data})
		if err == nil {
			_, err = socket.WriteTo(append(answer, '\n'), client)
		}
		if err != nil {
			log.Print(err)
		}
	}
}

// serveSCTP listens with a one-to-one socket for each address. One for all of them would tell every client all of them, and where
// addresses are translated on the way a heartbeat straight to the pod belongs to no association: it would be aborted.
func serveSCTP(self identity, port int) error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		if err := listenSCTP(self, network.IP, port); err != nil {
			return err
		}
	}
	return nil
}

func listenSCTP(self identity, ip net.IP, port int) error {
	family, address := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: port, Addr: [16]byte(ip.To16())})
	if ip4 := ip.To4(); ip4 != nil {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: [4]byte(ip4)}
	}
	listener, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(listener, address); err != nil {
		return err
	}
	if err := unix.Listen(listener, 128); err != nil {
		return err
	}
	go func() {
		for {
			descriptor, peer, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if err == unix.EINTR || err == unix.ECONNABORTED {
				continue
			}
			if err != nil {
				log.Fatalf("SCTP: %v", err)
			}
			go func() {
				// Blocking reads hold a thread each, which is well within a demo's means.
				association := os.NewFile(uintptr(descriptor), "sctp")
				defer association.Close()
				converse(association, self, peerName(peer), "sctp")
			}()
		}
	}()
	return nil
}

func peerName(peer unix.Sockaddr) string {
	switch address := peer.(type) {
	case *unix.SockaddrInet4:
		return net.JoinHostPort(net.IP(address.Addr[:]).String(), fmt.Sprint(address.Port))
	case *unix.SockaddrInet6:
		return net.JoinHostPort(net.IP(address.Addr[:]).String(), fmt.Sprint(address.Port))
	default:
		return ""
	}
}
