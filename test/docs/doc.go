// Package docs runs the sessions that the documents show, and compares what comes out of them.
//
// A session is an indented block whose first line is a command: "$ " and what a user types,
// up to the next such line what the machine answers.
package docs
