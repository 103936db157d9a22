package input

import (
	"bufio"
	"cmp"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"shardload/internal/fault"
)

// A Compression is how an input is compressed as it is stored.
type Compression string

// The compressions. The zero value is Auto.
const (
	Auto  Compression = "auto" // as the content says
	None  Compression = "none"
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
	Bzip2 Compression = "bzip2"
	XZ    Compression = "xz"
)

// What a compressed input may make us remember of it, in bytes: what the tools of these
// formats take without being asked, too.
const (
	zstdWindow   = 128 << 20
	xzDictionary = 64 << 20
)

// endings has the compressions that the names of files speak of.
var endings = map[string]Compression{
	".gz": Gzip, ".gzip": Gzip, ".tgz": Gzip,
	".zst": Zstd, ".zstd": Zstd, ".tzst": Zstd,
	".bz2": Bzip2, ".tbz2": Bzip2,
	".xz": XZ, ".txz": XZ,
}

// endingOf returns the compression that a file's name speaks of, "" for none.
func endingOf(path string) Compression { return endings[strings.ToLower(filepath.Ext(path))] }

// compression decides how an input is compressed that begins with head: as the user
// says, else as the content says. A name is asked where head is too short to tell; and it
// must not speak of what is not there.
func (s *Source) compression(head []byte) (Compression, error) {
	asked, said := cmp.Or(s.asked, Auto), Compression("")
	switch {
	case asked != Auto:
		said = asked
	default:
		said = s.ending
	}
	found, sure := sniff(head)
	if !sure && said != found && isASCII(head) {
		found = None // text that is as short as this may begin like anything
	}
	switch {
	case asked == None:
		return None, nil
	case asked != Auto && asked != found:
		return "", fault.Advise(fmt.Errorf("%s: is not %s: it %s", s.Name, asked, beginning(found, head)),
			"leave Config.Compression out, or name another one")
	case found != None:
		return found, nil
	case said != "":
		return "", fault.Advise(fmt.Errorf("%s: is not %s, as its name says: it %s", s.Name, said, beginning(found, head)), plainSaid)
	}
	if what := damaged(head); what != "" {
		return "", fault.Advise(fmt.Errorf("%s: begins as %s does, and goes on as it does not: it is damaged", s.Name, what), plainSaid)
	}
	return None, nil
}

// plainSaid is how a program says that an input is as it is.
const plainSaid = "if it is not compressed say so with Config.Compression none"

// beginning says what an input looks like that begins with head.
func beginning(found Compression, head []byte) string {
	switch {
	case found != None:
		return "is compressed by " + string(found)
	case len(head) == 0:
		return "is empty"
	}
	return fmt.Sprintf("begins with %q", head[:min(len(head), 12)])
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x7f || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}

// decompress returns what reads stored, which is compressed as c says. What has to be
// closed for it is added to s.close.
func (s *Source) decompress(c Compression, stored *bufio.Reader) (io.Reader, error) {
	switch c {
	case Gzip:
		return newGzipReader(stored)
	case Zstd:
		z, err := zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err == nil {
			s.close = append(s.close, func() error { z.Close(); return nil })
		}
		return z, err
	case Bzip2:
		return bzip2.NewReader(stored), nil
	case XZ:
		return newXZReader(stored)
	}
	return stored, nil
}

// An xzReader reads the streams of an xz file one after the other, with or without
// padding between them.
type xzReader struct{ *xz.Reader }

func newXZReader(stored *bufio.Reader) (io.Reader, error) {
	// The bufio.Reader is needed: a Reader that gives the last bytes and io.EOF at once
	// would hide all streams but the first that begin in them.
	z, err := xz.NewReader(stored, xzDictionary)
	return xzReader{z}, explainXZ(err)
}

func (x xzReader) Read(p []byte) (int, error) {
	n, err := x.Reader.Read(p)
	return n, explainXZ(err)
}

func explainXZ(err error) error {
	switch {
	case errors.Is(err, xz.ErrBuf):
		return io.ErrUnexpectedEOF
	case errors.Is(err, xz.ErrMemlimit):
		return fault.Advise(fmt.Errorf("xz: wants a dictionary of more than %d MiB", xzDictionary>>20), unpack[XZ])
	case errors.Is(err, xz.ErrFormat):
		return errors.New("xz: bytes that are neither zeros nor compressed data follow the compressed data")
	case errors.Is(err, xz.ErrOptions):
		return fault.Advise(err, unpack[XZ])
	}
	return err
}

// explain returns err, of reading, in words that say what is wrong with it.
func (s *Source) explain(err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case s.stored.failed != nil: // whatever is made of it where it is decompressed
		return fmt.Errorf("%s: %w", s.Name, s.stored.failed)
	case s.is != None && errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the compressed data end too early; is the file complete?", s.Name)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fault.Advise(fmt.Errorf("%s: zstd: wants a window of more than %d MiB", s.Name, zstdWindow>>20), "decompress it for so wide a window: zstd -dc")
	case s.is != None && !strings.HasPrefix(err.Error(), string(s.is)):
		return fmt.Errorf("%s: %s: %w", s.Name, s.is, err)
	}
	return fmt.Errorf("%s: %w", s.Name, err)
}

// twice refuses compressed data that begin with head inside of compressed data.
func (s *Source) twice(head []byte) error {
	inner, sure := sniff(head)
	if s.is == None || inner == None || !sure {
		return nil
	}
	return fault.Advise(fmt.Errorf("%s: is compressed twice: by %s, and inside by %s", s.Name, s.is, inner), unpack[s.is])
}

// unpack says how to decompress by other means.
var unpack = map[Compression]string{
	Gzip:  "decompress it: gzip -dc",
	Zstd:  "decompress it: zstd -dc",
	Bzip2: "decompress it: bzip2 -dc",
	XZ:    "decompress it: xz -dc",
}
