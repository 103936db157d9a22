package localpg

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"

	"shardload/internal/owned"
)

// passwords are the files of a cluster's password: one for each user who connects.
type passwords struct {
	own     *owned.Dir
	account account
}

const (
	passFile        = "pgpass"         // of the user who started the cluster
	serversPassFile = "pgpass.servers" // of the servers' user, if that is another
)

func (p passwords) file() string { return filepath.Join(p.own.Path, passFile) }

func (p passwords) serversFile() string {
	if !p.account.switched {
		return p.file()
	}
	return filepath.Join(p.own.Path, serversPassFile)
}

// choose chooses a password and writes it to the files that the two users read it
// from. Any port and role are let in to it: Citus and tests may connect as other roles,
// and through proxies.
func (p passwords) choose() (password string, err error) {
	password = rand.Text()
	line := []byte(loopback + ":*:*:*:" + password + "\n")
	if err := p.own.Replace(passFile, line, 0o600, nil); err != nil {
		return "", err
	}
	if p.account.switched {
		err = p.own.Replace(serversPassFile, line, 0o600, p.account.ownFile)
	}
	return password, err
}

// forget removes the files of the password of servers that do not run: who listens at
// their ports from now on is told nothing.
func (p passwords) forget() error {
	var err error
	for _, name := range []string{passFile, serversPassFile} {
		if gone := p.own.Root.Remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
