package meter

import (
	"slices"

	"golang.org/x/perf/benchmath"
)

// Median returns the median of values.
func Median(values []float64) float64 {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds), 0.95).Center
}
