package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A falseServer poses as a server: it asks for the password, notes what it gets, and
// lets nobody in.
type falseServer struct {
	listener net.Listener
	tls      *tls.Config // nil: it does not speak TLS
	ask      string      // password, md5 or scram

	mu      sync.Mutex
	startup []string // of each connection
	clear   int      // answers to the question that came without TLS
	covered int      // that came with TLS
}

func newFalseServer(t *testing.T, ask string, tls *tls.Config) *falseServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	f := &falseServer{listener: listener, ask: ask, tls: tls}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return f
}

func (f *falseServer) port() uint16 { return uint16(f.listener.Addr().(*net.TCPAddr).Port) }

// serve reads the request for TLS, if any, and the startup message, asks for the
// password, and counts what comes.
func (f *falseServer) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	encrypted := false
	body := readBody(conn)
	const sslRequest = 80877103
	if len(body) == 4 && binary.BigEndian.Uint32(body) == sslRequest {
		if f.tls == nil {
			_, _ = conn.Write([]byte("N"))
		} else {
			_, _ = conn.Write([]byte("S"))
			conn, encrypted = tls.Server(conn, f.tls), true
		}
		body = readBody(conn)
	}
	if len(body) < 5 {
		return
	}
	f.mu.Lock()
	f.startup = append(f.startup, string(bytes.ReplaceAll(body[4:], []byte{0}, []byte(" "))))
	f.mu.Unlock()
	question := map[string][]byte{
		"password": {0, 0, 0, 3},
		"md5":      {0, 0, 0, 5, 1, 2, 3, 4},
		"scram":    append([]byte{0, 0, 0, 10}, "SCRAM-SHA-256\x00\x00"...),
	}[f.ask]
	_, _ = conn.Write(append(binary.BigEndian.AppendUint32([]byte("R"), uint32(4+len(question))), question...))
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 'p' {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if encrypted {
		f.covered++
	} else {
		f.clear++
	}
}

// readBody returns the body of a message without a type.
func readBody(r io.Reader) []byte {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil
	}
	body := make([]byte, min(max(int(binary.BigEndian.Uint32(size[:]))-4, 0), 1<<16))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil
	}
	return body
}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // of its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "root.crt")}
	der, key := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true}, nil)
	a.key = key
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// server returns the TLS settings of a server of that name.
func (a *authority) server(t *testing.T, name string) *tls.Config {
	t.Helper()
	der, key := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, a)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func sign(t *testing.T, template *x509.Certificate, by *authority) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// withoutEnvironment leaves t none of libpq's variables, and an empty home.
func withoutEnvironment(t *testing.T) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "PG") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
}
