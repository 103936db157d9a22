package localpg

import "net"

// freePorts returns n different ports on which nobody listens now. Somebody may a
// moment later, so servers that find theirs taken ask again.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp4", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // after the last, so that no port is given twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
