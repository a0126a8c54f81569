package cut

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// RowError says that the values of a row cannot be named.
type RowError struct {
	Row     int // from 0, without the one that has the names
	Problem string
}

func (e *RowError) Error() string { return fmt.Sprintf("row %d: %s", e.Row, e.Problem) }

// row is the record of a row; nil: it has the names of those that follow. One with fewer values lacks the last fields,
// as spreadsheets leave out what is empty at the end.
func (c *cutter) row(value []byte) ([]byte, error) {
	elements, err := elementsOf(value)
	if err != nil {
		return nil, &RowError{c.answer.Records, "it is no array of values"}
	}
	if c.columns == nil {
		if named, err := c.named(); err != nil || !named {
			if err == nil {
				err = c.name(elements)
			}
			return nil, err
		}
	}
	if len(elements) > len(c.columns) {
		return nil, &RowError{c.answer.Records, fmt.Sprintf("it has %d values, and there are %d names", len(elements), len(c.columns))}
	}
	record := make([]byte, 0, len(value)+16*len(elements))
	record = append(record, '{')
	for i, v := range elements {
		if i > 0 {
			record = append(record, ',')
		}
		record = append(append(record, c.columns[i]...), v...)
	}
	return append(record, '}'), nil
}

// named reads the names that do not stand in the first row. It reports false if they do.
func (c *cutter) named() (bool, error) {
	switch {
	case c.e.Columns != nil:
		names, err := elementsOf(c.e.Columns)
		if err != nil {
			return true, &RowError{c.answer.Records, "the names of its values are no array"}
		}
		return true, c.name(names)
	case c.e.Shape.Columns != nil:
		return true, &RowError{c.answer.Records, "the answer has no array of names at " + at(c.e.Shape.Columns)}
	case c.e.Shape.Names != nil:
		c.columns = [][]byte{}
		for _, name := range c.e.Shape.Names {
			c.columns = append(c.columns, appendName(nil, name))
		}
		return true, nil
	}
	return false, nil
}

// nameFields are what the name of a column is called, where columns are objects.
var nameFields = NewFields([]string{"name"}, []string{"field"}, []string{"id"}, []string{"columnName"}, []string{"fieldName"})

// name takes the names of values.
func (c *cutter) name(names []jsontext.Value) error {
	c.columns = [][]byte{}
	for i, v := range names {
		if v.Kind() == '{' {
			found := make([]jsontext.Value, nameFields.Len())
			nameFields.Find(v, found)
			for _, f := range found {
				if f != nil && f.Kind() == '"' {
					v = f
					break
				}
			}
		}
		if v.Kind() != '"' {
			return &RowError{c.answer.Records, fmt.Sprintf("name %d of its values is no text", i+1)}
		}
		column := append(bytes.Clone(v), ':')
		for _, other := range c.columns {
			if bytes.Equal(other, column) {
				return &RowError{c.answer.Records, "two of its values have the name " + string(v)}
			}
		}
		c.columns = append(c.columns, column)
	}
	return nil
}

func elementsOf(value []byte) ([]jsontext.Value, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(value), options...)
	token, err := dec.ReadToken()
	if err != nil || token.Kind() != '[' {
		return nil, errNoArray
	}
	elements := []jsontext.Value{}
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		elements = append(elements, v.Clone())
	}
	return elements, nil
}

var errNoArray = fmt.Errorf("no array")
