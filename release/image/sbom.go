// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

// describe returns the bill of materials of the programs: an SPDX 2.3 document, in JSON. The modules are those that the
// go command noted in the programs.
func describe(o Options, programs []string) ([]byte, error) {
	modules, err := modulesOf(programs)
	if err != nil {
		return nil, err
	}
	const root = "bridgehead"
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      root + "-" + o.Version,
		DocumentNamespace: "https://github.com/bridgehead-dev/bridgehead/sbom/" + o.Version,
		CreationInfo: &spdx.CreationInfo{
			Created:  created(o.Created).Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Organization", Creator: "Bridgehead"}},
		},
		Packages: []*spdx.Package{{
			PackageName: root, PackageSPDXIdentifier: root, PackageVersion: o.Version,
			PackageDownloadLocation: "https://github.com/bridgehead-dev/bridgehead",
			PackageLicenseDeclared:  "Apache-2.0", PackageLicenseConcluded: "Apache-2.0",
			PackageCopyrightText: "NOASSERTION",
		}},
		Relationships: []*spdx.Relationship{relation("DOCUMENT", "DESCRIBES", root)},
	}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		m := modules[path]
		id := fmt.Sprintf("module-%x", sha256.Sum256([]byte(m.path)))[:23]
		doc.Packages = append(doc.Packages, &spdx.Package{
			PackageName: m.path, PackageSPDXIdentifier: common.ElementID(id), PackageVersion: m.version,
			PackageDownloadLocation: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION",
			PackageLicenseConcluded: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
			PackageExternalReferences: []*spdx.PackageExternalReference{{
				Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL,
				Locator: "pkg:golang/" + m.path + "@" + m.version,
			}},
		})
		doc.Relationships = append(doc.Relationships, relation(root, "DEPENDS_ON", id))
	}
	var out bytes.Buffer
	if err := json.Write(doc, &out, json.Indent(" ")); err != nil {
		return nil, fmt.Errorf("write SPDX: %w", err)
	}
	return out.Bytes(), nil
}

func relation(a, kind, b string) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.MakeDocElementID("", a), RefB: common.MakeDocElementID("", b), Relationship: kind,
	}
}
