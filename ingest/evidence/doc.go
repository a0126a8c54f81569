// Package evidence reads what an answer says of itself besides its records: that there is more, that there is no more,
// that it is an error although its status says otherwise. It knows the names that APIs commonly use for that.
//
// Nothing of it decides what is fetched; the pipeline file does. It is what the settings are held against: a pass that
// would end because a field is not there does not end as a success while the body says that there is more.
package evidence
