// Package request makes the requests of a stream: what the pipeline file says of them, with its placeholders filled in.
package request
