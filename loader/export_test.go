package loader

import "time"

// WithChunkSize returns cfg with another usual length of a chunk.
func (c Config) WithChunkSize(size int) Config {
	c.paces.chunk = size
	return c
}

// WithAnswerDelay returns cfg with another time after which a server that does not answer
// is asked what it is doing.
func (c Config) WithAnswerDelay(d time.Duration) Config {
	c.paces.answer = d
	return c
}

// WithRemapDelay returns cfg with another time for which a batch that has no place waits.
func (c Config) WithRemapDelay(d time.Duration) Config {
	c.paces.remap = d
	return c
}
