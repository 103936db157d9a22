package cli

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"shardload/internal/notices"
)

// A buildVersion says which shardload this is.
type buildVersion struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// A licensesJSON has the licences of what is linked.
type licensesJSON struct {
	Licenses string `json:"licenses"`
}

func newVersionCommand(a *app) *cobra.Command {
	licenses := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  shardload version --json
  shardload version --licenses`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if licenses && a.json {
				return a.printJSON(licensesJSON{notices.Text})
			}
			if licenses {
				for line := range strings.SplitSeq(strings.TrimSuffix(notices.Text, "\n"), "\n") {
					if err := a.printf("%s\n", line); err != nil {
						return err
					}
				}
				return nil
			}
			return a.printVersion()
		},
	}
	cmd.Flags().BoolVar(&licenses, "licenses", false, "print the licences of what is linked into the program")
	return cmd
}

// addVersionFlag lets a command that only has others below it print the version.
func addVersionFlag(a *app, root *cobra.Command) {
	version := root.Flags().Bool("version", false, "print the version, as shardload version does")
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if *version && len(args) == 0 {
			return a.printVersion()
		}
		return chooseSubcommand(cmd, args)
	}
}

// printVersion prints the version.
func (a *app) printVersion() error {
	v := readVersion()
	if a.json {
		return a.printJSON(v)
	}
	text := "shardload " + v.Version
	if v.Revision != "" {
		text += " (" + v.Revision + ")"
	}
	return a.printf("%s, %s, %s\n", text, v.Go, v.Platform)
}

// readVersion takes what the Go toolchain noted in the binary.
func readVersion() buildVersion {
	v := buildVersion{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value[:min(len(s.Value), 12)]
		}
	}
	return v
}
