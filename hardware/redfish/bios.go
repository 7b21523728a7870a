package redfish

import (
	"context"
	"maps"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func (n *conn) readBIOS(ctx context.Context, v *view) {
	link := v.system.Get("Bios")
	if !link.Exists() {
		return
	}
	v.biosURI = id(link)
	var known view // by this connection's last look
	if n.view != nil && n.view.biosURI == v.biosURI {
		known = *n.view
	}
	bios, err := n.resource(ctx, link, known.bios)
	if err != nil {
		v.unreadable(v.biosURI, err)
		return
	}
	v.settingsURI = bios.Get(`\@Redfish\.Settings.SettingsObject.\@odata\.id`).String()
	for _, t := range bios.Get(`\@Redfish\.Settings.SupportedApplyTimes`).Array() {
		v.onReset = v.onReset || t.String() == "OnReset"
	}
	n.setBIOS(ctx, v, bios, known.settings)
}

// setBIOS takes over the values in effect, reads those that pend, and binds the intents.
func (n *conn) setBIOS(ctx context.Context, v *view, bios, knownSettings doc) {
	v.bios = bios
	b := &v.snap.BIOS
	b.Attributes, b.Pending = attributes(bios.Result), nil
	if !v.registryRead {
		v.registryRead = true
		b.Registry = n.readRegistry(ctx, v, text(bios, "AttributeRegistry"))
	}
	b.Intents = n.bind(*b)
	if v.settingsURI == "" {
		// Some BMCs (Gigabyte) have no settings object and take changes on Bios itself.
		v.settings = bios
		return
	}
	settings, err := n.getIfChanged(ctx, v.settingsURI, knownSettings)
	if err != nil {
		v.unreadable(v.settingsURI, err)
		return
	}
	v.settings = settings
	pending := attributes(settings.Result)
	job, scheduled := settingsJob(v.snap.Jobs)
	if n.quirks.PendingShownAsCurrent && (scheduled || job || v.jobsErr != nil) {
		// What is shown as current is not in force yet, and what is in force is not shown.
		maps.DeleteFunc(b.Attributes, func(name string, value any) bool { p, ok := pending[name]; return ok && p == value })
	} else {
		// Some settings objects repeat every attribute, some list only what pends.
		maps.DeleteFunc(pending, func(name string, value any) bool { current, ok := b.Attributes[name]; return ok && current == value })
	}
	if len(pending) > 0 {
		b.Pending = pending
	}
}

// settingsJob reports whether a job for BIOS settings is at work, or waits for a reset.
func settingsJob(jobs []hardware.Job) (atWork, scheduled bool) {
	for _, j := range jobs {
		if j.Component == hardware.ComponentBIOS {
			atWork = atWork || !waiting(j.State)
			scheduled = scheduled || waiting(j.State)
		}
	}
	return atWork, scheduled
}

func attributes(d gjson.Result) map[string]any {
	out := map[string]any{}
	d.Get("Attributes").ForEach(func(key, value gjson.Result) bool {
		if v := scalar(value); v != nil {
			out[key.String()] = v
		}
		return true
	})
	return out
}
