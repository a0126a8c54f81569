package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// serve answers GET /flights?offset=&limit= with {"total":n,"data":[…]} after latency, on address.
func serve(w *flights, address string, latency time.Duration) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /flights", func(rw http.ResponseWriter, r *http.Request) {
		offset, err1 := strconv.Atoi(r.FormValue("offset"))
		limit, err2 := strconv.Atoi(r.FormValue("limit"))
		if err1 != nil || err2 != nil || offset < 0 || limit < 1 {
			http.Error(rw, "offset and limit: want numbers", http.StatusBadRequest)
			return
		}
		end := min(offset+limit, w.records)
		body := make([]byte, 0, 400*max(end-offset, 0)+64)
		body = fmt.Appendf(body, `{"total":%d,"data":[`, w.records)
		for i := offset; i < end; i++ {
			if i > offset {
				body = append(body, ',')
			}
			body = w.appendRecord(body, i)
		}
		body = append(body, "]}"...)
		time.Sleep(latency)
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = rw.Write(body)
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, mux)
}
