package generate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The first ads of a company go to one campaign each; the others to any of them,
// and to older ones more often.
func TestCampaignOf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int64{1, 2, 3, 1000, maxID} {
		for id := int64(1); id <= min(n, 2000); id++ {
			if got := campaignOf(id, n, random.Uint64()); got != id {
				t.Fatalf("ad %d of %d campaigns goes to campaign %d", id, n, got)
			}
		}
		if got := campaignOf(n, n, 0); got != n {
			t.Errorf("ad %d of as many campaigns goes to campaign %d", n, got)
		}
		older := 0
		for _, r := range append(randomNumbers(random, 1000), 0, math.MaxUint64) {
			got := campaignOf(n+1, n, r)
			if got < 1 || got > n {
				t.Fatalf("an ad of %d campaigns goes to campaign %d", n, got)
			}
			if got <= (n+1)/2 {
				older++
			}
		}
		if older < 600 {
			t.Errorf("%d of 1002 ads go to the older half of %d campaigns, want 3 in 4", older, n)
		}
	}
}

// Extreme random numbers stay within the columns' types and sense.
func TestCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for _, r := range append(randomNumbers(random, 100_000), 0, math.MaxUint64, math.MaxUint64&^(4095<<4|15)) {
		impressions, clicks := counts(r)
		if clicks < 0 || clicks > impressions || clicks > impressions/16 {
			t.Fatalf("%#x: %d impressions, %d clicks", r, impressions, clicks)
		}
	}
}

func randomNumbers(random *rand.Rand, count int) []uint64 {
	numbers := make([]uint64, count)
	for i := range numbers {
		numbers[i] = random.Uint64()
	}
	return numbers
}
