package localpg

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"shardload/internal/owned"
)

// A state is what cluster.json keeps. Nodes are named by their order, so that the
// directory may be moved while nothing runs in it.
type state struct {
	Database string `json:"database"`
	Citus    bool   `json:"citus"`
	Ports    []int  `json:"ports"` // the coordinator's first
}

func (s *starter) state() state {
	st := state{Database: s.database, Citus: s.citus}
	for _, srv := range s.servers {
		st.Ports = append(st.Ports, srv.port)
	}
	return st
}

const stateName = "cluster.json"

func (h *home) statefile() string { return h.path(stateName) }

func (h *home) readState() (st state, found bool, err error) {
	text, err := owned.ReadSmall(h.own.Root, stateName)
	if errors.Is(err, os.ErrNotExist) {
		return state{}, false, nil
	}
	if err != nil {
		return state{}, false, err
	}
	if err := json.Unmarshal(text, &st); err != nil {
		return state{}, false, fmt.Errorf("%s: %w", h.statefile(), err)
	}
	if len(st.Ports) == 0 {
		return state{}, false, fmt.Errorf("%s: names no server", h.statefile())
	}
	return st, true, nil
}

func (h *home) writeState(st state) error {
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return h.own.Replace(stateName, append(text, '\n'), 0o600, nil)
}
