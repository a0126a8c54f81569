// Package cassette keeps the answers of an API in a folder of readable files, and gives them again.
//
// Each exchange is a file, numbered in the order of the requests:
//
//	GET https://api.example.com/v2/orders?limit=2
//
//	HTTP 200
//	Content-Type: application/json
//	Date: Mon, 01 Jan 2024 10:00:00 GMT
//
//	{
//	  "data": [ … ]
//	}
//
// A body that is JSON on one line is indented; one that is not text is kept in base64: the header Millrace-Body says
// so, and it is given as it was. A body of the request stands below its line, after a blank line of its own. Secrets
// are not in the files: whoever records hides them first. Files may be written and changed by hand.
package cassette
