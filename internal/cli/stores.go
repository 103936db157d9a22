package cli

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shardload/internal/input"
	"shardload/internal/places"
	"shardload/loader"
)

// headerVariable has headers that are sent to servers of http and https, one a line.
const headerVariable = "SHARDLOAD_HTTP_HEADER"

// httpHeader is the flag for them.
const httpHeader = "http-header"

// storeFlags adds the flags that say how what lies at URLs is asked for.
func storeFlags(cmd *cobra.Command) {
	cmd.Flags().StringArray(httpHeader, nil, `"Name: value" to send to servers of http and https, or @FILE with some, one a line (may be repeated; `+headerVariable+` has more)`)
}

// storeHeader returns what is to be sent to servers of http and https. Errors do not say what the
// flags say.
func storeHeader(c *console, cmd *cobra.Command) (http.Header, error) {
	header := http.Header{}
	list, _ := cmd.Flags().GetStringArray(httpHeader) // none where there is no such flag
	texts := map[string][]string{headerVariable: strings.Split(c.Getenv(headerVariable), "\n")}
	for _, said := range list {
		file, isFile := strings.CutPrefix(said, "@")
		if !isFile {
			texts["--"+httpHeader] = append(texts["--"+httpHeader], said)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts[file] = strings.Split(string(text), "\n")
	}
	for from, lines := range texts {
		for _, line := range lines {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if err := places.ParseHeader(line, header); err != nil {
				return nil, usagef(cmd, "%s: %s", from, err)
			}
		}
	}
	return header, nil
}

// at returns where a file of t lies.
func (t tableInput) at(file string, opt places.Options) (input.Location, error) {
	if !places.IsURL(file) {
		return input.Path(file), nil
	}
	opt.Header = t.header
	return places.Locate(file, opt)
}

// shown returns the names of the files, without the secrets of URLs.
func (t tableInput) shown() []string {
	names := slices.Clone(t.Files)
	for i, name := range names {
		names[i] = places.Identity(name)
	}
	return names
}

// checkURL finds out about a URL that no command can read.
func checkURL(cmd *cobra.Command, url string) error {
	_, err := places.Locate(url, places.Options{})
	if err != nil {
		return usagef(cmd, "%s", err)
	}
	return nil
}

// noURL refuses a URL where files of this machine are read.
func noURL(cmd *cobra.Command, name string) error {
	if !places.IsURL(name) {
		return nil
	}
	return usagef(cmd, "%s: %s reads files of this machine: download it first", places.Identity(name), cmd.Name())
}

// errURLTable says that nobody has said what a URL is of.
var errURLTable = errors.New("say with --table which table its rows belong to")

// source is how what lies in stores is read where it is not loaded.
func placesOf(c *console) places.Options {
	return places.Options{RetryFor: loader.DefaultRetryFor, ReadAhead: loader.DefaultMemory / 8, Log: c.waitLog(), Getenv: c.Getenv}
}

// beforeQuery returns the part of a name that may end in what says a format.
func beforeQuery(name string) string {
	if !places.IsURL(name) {
		return name
	}
	name, _, _ = strings.Cut(places.Identity(name), "?")
	return name
}

// objects returns the locations of those of the files that lie in stores, by what they are called.
func (t tableInput) objects(opt places.Options) (map[string]input.Location, error) {
	found := map[string]input.Location{}
	for i, name := range t.shown() {
		if !places.IsURL(name) {
			continue
		}
		at, err := t.at(t.Files[i], opt)
		if err != nil {
			return nil, err
		}
		found[name] = at
	}
	return found, nil
}
