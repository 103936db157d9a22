// Package store stores batches: each in one transaction, on one connection, with the mark that
// says so.
//
// A stream takes the batches of a node (stream.go). From top to bottom a batch's way is tx.go:
// begin locks the place and moves the mark, copySection copies, commit commits. Where rows cannot
// go straight into the table they pass through a staging table (staging.go, merge.go). Where
// records may be rejected, sift.go and blame.go find the rows that the server refuses;
// locate.go and keyrow.go say which record an error is about; droppers.go makes sure that no
// trigger has dropped rows without a word.
//
// The room promises that a batch is stored with its mark, or not at all, and that it knows
// which, or says that it does not. It knows nothing of inputs.
package store
