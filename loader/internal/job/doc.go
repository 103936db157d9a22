// Package job has what a load knows of its job in the ledger: which job an input is, whether
// the input is what it was, from which marks the load goes on, and whether all of it is
// stored at the end.
//
// It promises that a job goes on only with the input of which its marks are, into the table
// that has the rows that they count, and that it is complete only when the coordinator reads
// the marks of the input's end. Which kind of marks that are (marks.go) is nobody else's
// concern. It knows no routes and sends no rows.
package job
