package pipeline

import (
	"fmt"
	"strings"
)

// OwnFormat reports whether a format of times is written with %, as strftime has it, and is not one of the words.
func OwnFormat(format string) bool { return strings.Contains(format, "%") }

// directives of strftime, as package time writes them.
var directives = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'j': "002", 'z': "-0700", 'f': "000000", 'L': "000",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", '%': "%",
}

// Layout translates a format such as "%d.%m.%Y %H:%M:%S" into a layout of package time. The error says what is not
// known.
func Layout(format string) (string, error) {
	var out strings.Builder
	literal := func(c byte) error {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' && c != 'T' && c != 'Z' {
			return fmt.Errorf("%q is not taken outside of a directive: only signs, small letters, T and Z are", string(c))
		}
		out.WriteByte(c)
		return nil
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			if err := literal(format[i]); err != nil {
				return "", err
			}
			continue
		}
		i++
		if i == len(format) {
			return "", fmt.Errorf("it ends in the middle of a directive")
		}
		layout, ok := directives[format[i]]
		if !ok {
			return "", fmt.Errorf("%%%s is not known; known are %%Y %%m %%d %%H %%M %%S %%f %%L %%z and others of strftime", string(format[i]))
		}
		out.WriteString(layout)
	}
	return out.String(), nil
}
