// Package route knows where rows go: the nodes of a cluster and their connections, which of
// them has the shard of a lane, and what keeps the table as it is while batches are on their
// way.
//
// A Dispatch gives for each lane the Destination of its batches, with the guard by which a
// batch makes sure that it is still the one meant, and finds shards again that have moved. A
// Fence holds off whoever changes the table, lets them pass between batches, and ends the job
// if the table is still what it was. The room knows no records and sends no rows.
package route
