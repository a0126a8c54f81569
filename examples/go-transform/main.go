// Command go-transform is millrace with one transform more, distance@1: all commands, for pipeline files that name it.
//
//	go build -o quakes ./examples/go-transform
//	./quakes run examples/go-transform/quakes.yaml
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/millrace-io/millrace"
	"github.com/millrace-io/millrace/transform"
)

func main() {
	transform.Register("distance", "1", transform.Fields(distance))
	os.Exit(millrace.Main())
}

// distance sets km to the distance of an earthquake from Athens on the surface, in whole kilometres. An earthquake
// without a place has no row.
func distance(members map[string]json.RawMessage) (keep bool, err error) {
	var at struct {
		Coordinates []float64 `json:"coordinates"` // longitude, latitude, depth
	}
	if err := json.Unmarshal(members["geometry"], &at); err != nil {
		return false, fmt.Errorf("geometry: %w", err)
	}
	if len(at.Coordinates) < 2 {
		return false, nil
	}
	const athensLongitude, athensLatitude, earth = 23.7275, 37.9838, 6371.0
	radians := func(degrees float64) float64 { return degrees * math.Pi / 180 }
	// The haversine formula, which is exact enough for small distances, too.
	dLat, dLon := radians(at.Coordinates[1]-athensLatitude), radians(at.Coordinates[0]-athensLongitude)
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(radians(athensLatitude))*math.Cos(radians(at.Coordinates[1]))*math.Pow(math.Sin(dLon/2), 2)
	members["km"], err = json.Marshal(math.Round(2 * earth * math.Asin(math.Sqrt(h))))
	return true, err
}
