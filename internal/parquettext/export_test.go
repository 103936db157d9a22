package parquettext

// Held returns how many bytes of pages r holds.
func (r *Reader) Held() int64 { return r.live.Load() }
