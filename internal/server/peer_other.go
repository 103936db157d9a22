//go:build !linux

package server

import (
	"errors"
	"net"
	"time"
)

// knowsPeers says whether the owner of a process behind a Unix socket can be told.
const knowsPeers = false

// peer is not known here.
func peer(*net.UnixConn) (string, error) {
	return "", errors.New("the owner of a server cannot be found out here")
}

// setUserTimeout does nothing here, as libpq: keepalives notice a peer that is gone.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }
