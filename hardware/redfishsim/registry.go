package redfishsim

import (
	"strings"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func (v *view) registries() object {
	return v.collection("MessageRegistryFile", "Registry File Collection", "/Registries", []string{v.p.registry})
}

func (v *view) registryFile(id string) object {
	if !strings.EqualFold(id, v.p.registry) {
		return nil
	}
	return object{"@odata.type": "#MessageRegistryFile.v1_1_3.MessageRegistryFile", "Id": v.p.registry, "Name": "BIOS Attribute Registry File",
		"Registry": v.p.registry, "Languages": []string{"en"}, "Location": []any{object{"Language": "en", "Uri": v.uri(v.p.registryURI)}}}
}

// registry describes the BIOS attributes and the rules between them.
func (v *view) registry() object {
	attributes, rules := make([]any, 0, len(v.spec.Attributes)), make([]any, 0, len(v.spec.Dependencies))
	for _, a := range v.spec.Attributes {
		e := object{"AttributeName": a.Name, "DisplayName": a.DisplayName, "Type": a.Type, "ReadOnly": a.ReadOnly,
			"ResetRequired": !a.Immediate, "DefaultValue": a.Factory, "MenuPath": "./"}
		switch a.Type {
		case hardware.TypeEnumeration:
			var values []any
			for _, value := range a.Values {
				values = append(values, object{"ValueName": value, "ValueDisplayName": value})
			}
			e["Value"] = values
		case hardware.TypeInteger:
			e["LowerBound"], e["UpperBound"] = a.Min, a.Max
		case hardware.TypeString:
			e["MinLength"], e["MaxLength"] = a.Min, a.Max
		}
		attributes = append(attributes, e)
	}
	for _, d := range v.spec.Dependencies {
		rules = append(rules, object{"DependencyFor": d.When.Attribute, "Type": "Map", "Dependency": object{
			"MapFrom": []any{object{"MapFromAttribute": d.When.Attribute, "MapFromProperty": "CurrentValue",
				"MapFromCondition": "EQU", "MapFromValue": d.When.Value}},
			"MapToAttribute": d.Attribute, "MapToProperty": "ReadOnly", "MapToValue": true}})
	}
	return object{"@odata.type": "#AttributeRegistry.v1_3_8.AttributeRegistry", "Id": v.p.registry, "Name": "BIOS Attribute Registry",
		"Language": "en", "OwningEntity": v.spec.Manufacturer, "RegistryVersion": "1.0.0",
		"RegistryEntries": object{"Attributes": attributes, "Dependencies": rules}}
}
