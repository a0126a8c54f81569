package mysql_test

import (
	"testing"

	"github.com/millrace-io/millrace/sink/dialect/mysql"
)

func TestPlaceIsWithoutThePassword(t *testing.T) {
	d, err := mysql.New("app:hush@tcp(db.example.org:3306)/shop?timeout=5s")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.Place(), "app@db.example.org:3306/shop"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
