// Package target has the table that is loaded and its server: what was found out about them,
// which does not change while a load runs, and the connection on which the rest is asked.
//
// It promises that what is asked on that connection is asked again while a server fails, for
// as long as the load is told, and that whoever changes distributed tables hears when all
// nodes have committed it. It knows nothing of inputs, rows, jobs or routes.
package target
