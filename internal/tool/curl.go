package tool

import (
	"errors"
	"fmt"
	"strings"
)

// fromCurl takes URL and headers out of a curl command line, as a browser's "copy as cURL" or an API's manual has it. A
// text that is none is returned as it is.
func fromCurl(text string) (url string, headers []string, err error) {
	rest, is := strings.CutPrefix(strings.TrimSpace(text), "curl ")
	if !is {
		return text, nil, nil
	}
	words, err := shellWords(rest)
	if err != nil {
		return "", nil, err
	}
	var c curl
	for len(words) > 0 {
		o := nextOption(&words)
		if err := c.apply(o, &words); err != nil {
			return "", nil, err
		}
	}
	if c.url == "" {
		return "", nil, errors.New("the curl command has no URL")
	}
	return c.url, c.headers, nil
}

// curl is what a curl command line asks for.
type curl struct {
	url     string
	headers []string
}

// curlOption is an option, or another word.
type curlOption struct {
	name   string
	value  string // that is joined to it
	joined bool
}

// nextOption takes the next word.
func nextOption(words *[]string) curlOption {
	word := (*words)[0]
	*words = (*words)[1:]
	o := curlOption{name: word}
	if strings.HasPrefix(word, "--") {
		o.name, o.value, o.joined = strings.Cut(word, "=")
	} else if len(word) > 2 && word[0] == '-' && strings.ContainsRune("HXAeb", rune(word[1])) {
		o = curlOption{word[:2], word[2:], true}
	}
	return o
}

// of is the value of an option, which may be the next word.
func (o curlOption) of(words *[]string) string {
	if !o.joined && len(*words) > 0 {
		o.value = (*words)[0]
		*words = (*words)[1:]
	}
	return o.value
}

// apply notes what an option says.
func (c *curl) apply(o curlOption, words *[]string) error {
	switch o.name {
	case "-H", "--header":
		c.headers = append(c.headers, o.of(words))
	case "-A", "--user-agent":
		c.headers = append(c.headers, "User-Agent: "+o.of(words))
	case "-b", "--cookie":
		c.headers = append(c.headers, "Cookie: "+o.of(words))
	case "--url":
		c.url = o.of(words)
	case "-X", "--request":
		if method := o.of(words); method != "GET" {
			return fmt.Errorf("the curl command makes a %s; init asks with GET only", method)
		}
	case "-d", "--data", "--data-raw", "--data-binary", "--data-urlencode", "--json", "-F", "--form":
		return fmt.Errorf("the curl command sends a body (%s); init asks with GET only", o.name)
	case "-u", "--user":
		return errors.New("the curl command logs in with -u: write auth: {basic: …} into the file that init makes without it")
	case "-e", "--referer", "-o", "--output", "-m", "--max-time", "--connect-timeout", "-x", "--proxy", "--cacert", "--retry":
		o.of(words)
	default:
		if !strings.HasPrefix(o.name, "-") && c.url == "" {
			c.url = o.name
		}
	}
	return nil
}

// shellWords splits a command line as a POSIX shell does, without expansions: references such as ${TOKEN} stay.
func shellWords(text string) (words []string, err error) {
	var b strings.Builder
	quote, in := rune(0), false
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == '\'':
			b.WriteRune(r)
		case r == '\\' && i+1 < len(runes):
			i++
			if runes[i] != '\n' {
				b.WriteRune(runes[i])
				in = true
			}
		case quote != 0:
			b.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\n' || r == '\t' || r == '\r':
			if in {
				words = append(words, b.String())
				b.Reset()
				in = false
			}
		default:
			b.WriteRune(r)
			in = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the command line has a quote (%c) that does not end", quote)
	}
	if in {
		words = append(words, b.String())
	}
	return words, nil
}
