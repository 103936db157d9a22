package loader

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"shardload/internal/input"
	"shardload/internal/ledger"
)

// partBlocks is how many blocks are a part of what is made, and blockBytes about how long one is.
const (
	partBlocks = 16
	blockBytes = 1 << 20
)

// BlockParts returns the set of the input that b makes: parts of it are made and loaded by however many
// processes load the same set. One of a few blocks, or which an earlier version has begun to load as one
// input, is one input, as Blocks returns it.
func BlockParts(name string, b BlockSource) Input {
	one := Blocks(name, b)
	if b.Len() <= partBlocks {
		return one
	}
	in := one
	in.alone = &one
	in.set = &partSet{
		named: []string{name},
		list: func(context.Context, input.Access) ([]ledger.Part, error) {
			var parts []ledger.Part
			for from := int64(0); from < b.Len(); from += partBlocks {
				n := min(partBlocks, b.Len()-from)
				parts = append(parts, ledger.Part{Name: blockName(from), Size: n * blockBytes, Tag: strconv.FormatInt(b.Len(), 10)})
			}
			return parts, nil
		},
		open: func(part string) Input {
			from, err := strconv.ParseInt(strings.TrimPrefix(part, blockPrefix), 10, 64)
			if err != nil || from < 0 || from >= b.Len() {
				from = b.Len() // of another set: there is nothing to make
			}
			return Blocks(name+" "+part, blockRange{b, from, min(partBlocks, b.Len()-from)})
		},
	}
	return in
}

const blockPrefix = "from block "

// blockName returns the name of the part that begins with a block. Names are ordered as blocks are.
func blockName(from int64) string { return fmt.Sprintf("%s%012d", blockPrefix, from) }

// A blockRange is some of the blocks of a source.
type blockRange struct {
	BlockSource
	from, n int64
}

func (r blockRange) Len() int64 { return r.n }

func (r blockRange) AppendBlock(dst []byte, i int64) []byte {
	return r.BlockSource.AppendBlock(dst, r.from+i)
}
