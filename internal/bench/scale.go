package bench

// A ScaleResult is the throughput of an arm on a cluster of that many workers, each
// node of which may use the same share of a core.
type ScaleResult struct {
	Arm     string  `json:"arm"`
	Workers int     `json:"workers"`
	Cores   float64 `json:"cores_of_a_node"`
	Runs    int     `json:"runs"`
	Median  float64 `json:"rows_per_second"`
	Low     float64 `json:"rows_per_second_low"`
	High    float64 `json:"rows_per_second_high"`
}
