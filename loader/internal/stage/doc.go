// Package stage is the staging table through which rows pass whose list of items or whose
// condition the server evaluates, and the statements that move them from it into the target.
// It speaks to no server.
package stage
