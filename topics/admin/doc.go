// Package admin looks after the topics of a pipeline on the brokers: [Ensure] creates what is missing, [Inspect] says
// what is missing or differs, and [Remaining] counts what a reader has not read yet. [Fence]
// and [Cut] end what was begun before a decision.
//
// What the topics are called and how they are set is in package topics, which needs no brokers.
package admin
