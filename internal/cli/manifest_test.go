package cli

import (
	"strings"
	"testing"

	"shardload/generate"
	"shardload/internal/input"
)

// TestManifestSums holds that checksums which cannot be read are an error: a manifest without
// them proves nothing, and one with others must not be taken for it.
func TestManifestSums(t *testing.T) {
	t.Parallel()
	sums := func(row, column string) generate.Manifest {
		return generate.Manifest{Files: []generate.File{{Name: "ads.csv", Checksums: &generate.Checksums{
			Rows: 1, RowSum: row, Columns: []generate.ColumnChecksum{{Name: "id", Values: 1, Sum: column}},
		}}}}
	}
	ads := input.TableFiles{Table: "ads", Files: []string{"data/ads.csv"}}
	got, err := manifestSums(sums("-5", "170141183460469231731687303715884105727"), ads)
	if err != nil || got.RowSum.String() != "-5" || got.Columns[0].Sum.String() != "170141183460469231731687303715884105727" {
		t.Errorf("manifestSums = %+v, %v", got, err)
	}
	for _, m := range []generate.Manifest{sums("x", "1"), sums("1", ""), sums("1", "170141183460469231731687303715884105728")} {
		if _, err := manifestSums(m, ads); err == nil || !strings.Contains(err.Error(), "ads.csv: checksum") {
			t.Errorf("manifestSums(%+v): error %v", *m.Files[0].Checksums, err)
		}
	}
}
