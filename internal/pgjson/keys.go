package pgjson

// Keys returns all keys that a good record of a chunk has, in the order in which they first
// appear: the input's columns, as far as its first chunk shows them.
func Keys(chunk []byte, form Form, first bool) (keys []string) {
	seen := map[string]bool{}
	var record []string
	s := NewScanner(nil, func(key string) error {
		record = append(record, key)
		return nil
	})
	s.keys.learns = false
	for s.Reset(chunk, form, first); s.Next(); record = record[:0] {
		if s.err != nil {
			continue
		}
		for _, key := range record {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}
