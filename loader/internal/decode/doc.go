// Package decode turns the records of a chunk into rows for the lanes.
//
// A Layout says what the fields of an input are: which columns, how each is encoded, and
// which of them decide a record's lane. A Decoder writes each record as a binary row where it
// is sure that the server would read the same value, and else leaves it as it is: the server
// is the only judge of a value. Where only the server can hash what decides the lane, an
// Asker asks it.
//
// It promises that records enter the lanes in the order of the input, whole, each once, and
// that a bad one is named with its line. It knows nothing of routes and transactions.
package decode
