// Package lane has the rows that are on their way from the decoders to the streams.
//
// A lane is an ordered flow of rows into one place. Lanes collect rows in pages of a fixed
// memory, seal them into batches, and hand the batches to the streams of nodes: of one lane
// one after the other, of all lanes in parallel. The room promises that rows of a lane come
// out whole, once, and in the order in which they went in; that the memory is never more than
// Options.Memory; and that each batch knows the marks between which it lies.
//
// It knows no SQL and no network: neither what a row means, nor where it goes, nor what
// becomes of it.
package lane
