package infer

import "slices"

// changedNames are names of the time of the last change, best first, as plain has them.
var changedNames = []string{
	"updatedat", "updated", "modifiedat", "lastmodified", "lastmodifiedat", "modified", "updatetime", "updatedtime", "lastupdated", "lastupdatedat",
	"lasteditedtime", "systemmodstamp", "modifiedgmt", "datemodifiedgmt", "lastmodifieddate", "modifieddate", "dateupdated", "datemodified", "updateddate", "updatedate",
	"hslastmodifieddate", "changedat", "lastchanged", "modifiedon", "updatedon", "modificationdate", "lastmodifieddatetime", "editedat", "updatedts", "modifiedtime", "lastmod", "lastactivitydate",
}

// Changed is the field that says when a record was changed last, or nil. Only times count, and whole numbers that are.
func (s *Sample) Changed() *Field {
	var best *Field
	at := len(changedNames)
	for _, f := range s.Fields {
		i := slices.Index(changedNames, plain(f.Name()))
		if i < 0 || i >= at || len(f.Path) > 2 || f.Present == f.Nulls || f.Nulls > f.Present/2 {
			continue
		}
		unit := f.epoch()
		kind := f.commonForm()
		if f.Numbers > 0 && unit == "" || f.Texts > 0 && kind != moment && kind != day && kind != rfc2822 || f.Bools+f.Arrays+f.Objects > 0 {
			continue
		}
		if len(f.Path) == 2 && !slices.Contains(wrappers, f.Path[0]) && best != nil {
			continue
		}
		best, at = f, i
	}
	return best
}

// Zoneless reports whether its times name no zone.
func (f *Field) Zoneless() bool { return f.zoneless > 0 }

// Unit is how whole numbers say a time: unix, unix_ms; empty: they are none.
func (f *Field) Unit() string {
	if f.Numbers == 0 {
		return ""
	}
	switch f.epoch() {
	case "from_unix":
		return "unix"
	case "from_unix_ms":
		return "unix_ms"
	}
	return ""
}
