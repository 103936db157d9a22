// Package selection asks the server what a list of items and a condition, in SQL, make of an
// input's fields. Nothing is parsed here: the server reads both, and its own parse tree says
// which items are fields as they stand, which are constants, and what else there is.
package selection
