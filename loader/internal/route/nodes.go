package route

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"shardload/internal/citus"
	"shardload/internal/ledger"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/target"
)

// Nodes are the servers to which streams connect, the coordinator or the plain server
// first.
type Nodes struct {
	t         *target.Target
	translate map[string]string // a node's host:port as pg_dist_node has it into one that can be reached
	list      []*Node
}

// NewNodes returns the server of the target alone.
func NewNodes(t *target.Target, translate map[string]string) (*Nodes, error) {
	to, err := server.To(t.Cfg)
	if err != nil {
		return nil, err
	}
	first := &Node{Patience: target.Patience{Limit: t.Limit, Waits: t.Watch.Waits}, watch: t.Watch}
	first.at.Store(&where{name: "the server", target: target.KeepWarnings(to)})
	if t.Server.Citus != "" {
		first.at.Load().name = "the coordinator"
	}
	return &Nodes{t: t, translate: translate, list: []*Node{first}}, nil
}

// First returns the coordinator, or the plain server.
func (ns *Nodes) First() *Node { return ns.list[0] }

// Len returns how many there are.
func (ns *Nodes) Len() int { return len(ns.list) }

// All returns them, the first one first.
func (ns *Nodes) All() []*Node { return ns.list }

// Alone leaves the first one alone.
func (ns *Nodes) Alone() {
	for _, n := range ns.list[1:] {
		n.close()
	}
	ns.list = ns.list[:1]
}

// CloseIdle closes the connections that no stream has.
func (ns *Nodes) CloseIdle() {
	for _, n := range ns.list {
		n.close()
	}
}

// Follow looks whether another server has taken the place of n.
func (ns *Nodes) Follow(ctx context.Context, n *Node) error {
	if n.Index == 0 {
		return nil
	}
	var nodes []citus.Node
	err := ns.t.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		nodes, err = citus.Nodes(ctx, conn)
		return err
	})
	if err != nil {
		return err
	}
	for _, now := range nodes {
		if now.Group != n.group || now.Role != "primary" || now.Address() == n.at.Load().address {
			continue
		}
		to, err := ns.whereIs(now)
		if err != nil {
			return err
		}
		ns.t.Log.Info("another server has taken the place of a node", "was", n.Name(), "is", to.name)
		n.move(to)
	}
	return nil
}

// whereIs returns where a node of the cluster is.
func (ns *Nodes) whereIs(n citus.Node) (*where, error) {
	host, port, err := ns.address(n)
	if err != nil {
		return nil, err
	}
	to, err := ns.t.Link.Node(ns.t.Cfg, host, port)
	if err != nil {
		return nil, err
	}
	return &where{name: "node " + n.Address(), address: n.Address(), target: target.KeepWarnings(to)}, nil
}

// address returns where the node can be reached from here.
func (ns *Nodes) address(n citus.Node) (host string, port uint16, err error) {
	name := net.JoinHostPort(n.Name, strconv.Itoa(int(n.Port)))
	to, ok := ns.translate[name]
	if !ok {
		return n.Name, uint16(n.Port), nil
	}
	host, text, err := net.SplitHostPort(to)
	if err != nil {
		return "", 0, fmt.Errorf("the node map has %q for %s: %w", to, name, err)
	}
	p, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("the node map has %q for %s: port %q is no number", to, name, text)
	}
	return host, uint16(p), nil
}

// CheckNodeMap makes sure that each name in the node map is a node's: where one is
// misspelt, rows would go another way than the user believes, or nowhere.
func (ns *Nodes) CheckNodeMap() error {
	if len(ns.translate) == 0 {
		return nil
	}
	if ns.t.Server.Citus == "" {
		return &failure.PreflightError{Problem: "the node map has names of nodes, and the server has no Citus", Do: "leave the node map out"}
	}
	unknown := maps.Clone(ns.translate)
	var names []string
	for _, n := range ns.t.Cluster.Nodes {
		delete(unknown, n.Address())
		names = append(names, n.Address())
		if _, _, err := ns.address(n); err != nil {
			return &failure.PreflightError{Problem: err.Error(), Do: "write host:port=host:port"}
		}
	}
	if len(unknown) > 0 {
		return &failure.PreflightError{
			Problem: "the node map has " + strings.Join(slices.Sorted(maps.Keys(unknown)), ", ") + ", which is no node",
			Do:      "the nodes are " + strings.Join(names, ", "),
		}
	}
	return nil
}

// LookAtShards reads which files the shards of the table have on the nodes that can be
// reached: TRUNCATE, DETACH and DROP that were sent to a worker change those alone. It asks
// conn, which leads to the coordinator, where they are, and returns while the nodes are asked.
// Their files are added to files by add, which is to be called whatever comes between.
func (ns *Nodes) LookAtShards(ctx context.Context, conn *pgx.Conn, files ledger.Files) (add func() error, err error) {
	if len(ns.list) < 2 {
		return func() error { return nil }, nil
	}
	shards, err := citus.Placements(ctx, conn, ns.t.Table.OID)
	if err != nil {
		return nil, err
	}
	results := make([]*pgconn.Result, len(ns.list)) // nil for a node without shards
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range ns.list {
		sql := citus.FilesSQL(slices.DeleteFunc(slices.Clone(shards), func(p citus.Placement) bool { return p.Group != n.group }))
		if sql == "" {
			continue
		}
		g.Go(func() (err error) {
			results[i], err = n.ask(ctx, sql)
			return err
		})
	}
	return func() error {
		err := g.Wait()
		if err == nil {
			err = addFiles(files, results)
		}
		if err != nil {
			return fmt.Errorf("look at the shards of %s: %w", ns.t.Table, err)
		}
		return nil
	}, nil
}

// addFiles adds the answers to citus.FilesSQL.
func addFiles(files ledger.Files, results []*pgconn.Result) error {
	for _, r := range results {
		if r == nil {
			continue
		}
		for _, row := range r.Rows {
			table, tableErr := strconv.ParseUint(string(row[1]), 10, 32)
			file, fileErr := strconv.ParseUint(string(row[2]), 10, 32)
			if err := errors.Join(tableErr, fileErr); err != nil {
				return err
			}
			place := string(row[0])
			files.Place(place, true)
			if table != 0 {
				files.Add(place, uint32(table), uint32(file))
			}
		}
	}
	return nil
}

// AskNodes asks the nodes that can be reached, and the coordinator behind conn.
func (ns *Nodes) AskNodes(ctx context.Context, conn *pgx.Conn) (citus.Droppers, error) {
	answers := make([]*pgconn.Result, len(ns.list)-1)
	g, asking := errgroup.WithContext(ctx)
	for i, n := range ns.list[1:] {
		g.Go(func() (err error) {
			answers[i], err = n.ask(asking, citus.DroppersSQL)
			return err
		})
	}
	var own []byte
	err := server.Value(ctx, conn, &own, citus.DroppersSQL)
	if waited := g.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		return nil, err
	}
	d := citus.Droppers{}
	d.Add(own)
	for _, answer := range answers {
		d.Add(answer.Rows[0][0])
	}
	return d, nil
}
