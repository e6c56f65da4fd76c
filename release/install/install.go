// SPDX-License-Identifier: Apache-2.0

// Package install renders the manifests into files that users apply as they are: one for every kind of cluster, with
// the name of a released image.
package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/kustomize/api/filters/imagetag"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// placeholder is the image that the manifests name.
const placeholder = "bridgehead"

// Clusters returns the folders of manifests that users apply, by the name of the file that is released of each:
// install.yaml for manifests itself, and install-<folder>.yaml for each folder that is an overlay of base.
func Clusters(manifests string) (map[string]string, error) {
	found := map[string]string{"install.yaml": manifests}
	folders, err := os.ReadDir(manifests)
	if err != nil {
		return nil, fmt.Errorf("list manifests: %w", err)
	}
	for _, folder := range folders {
		dir := filepath.Join(manifests, folder.Name())
		_, err := os.Stat(filepath.Join(dir, "kustomization.yaml"))
		if parts := []string{"base", "crds"}; err != nil || slices.Contains(parts, folder.Name()) {
			continue
		}
		found["install-"+folder.Name()+".yaml"] = dir
	}
	return found, nil
}

// Image returns the reference of an image by name, tag and digest, as <name>:<tag>@<digest>. The tag is for people;
// nodes pull by digest.
func Image(reference string, digest v1.Hash) (types.Image, error) {
	tag, err := name.NewTag(reference)
	if err != nil {
		return types.Image{}, fmt.Errorf("name of the image: %w", err)
	}
	return types.Image{
		Name: placeholder, NewName: tag.Context().Name(), NewTag: tag.TagStr(), Digest: digest.String(),
	}, nil
}

// Render renders one folder of manifests with an image, in the order of the folder: kubectl delete takes the webhooks
// first. The same folder and image give the same bytes.
func Render(folder string, image types.Image) ([]byte, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the kustomization says
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", folder, err)
	}
	containers := types.FsSlice{
		{Path: "spec/template/spec/containers[]/image"}, {Path: "spec/template/spec/initContainers[]/image"},
	}
	if err := resources.ApplyFilter(imagetag.Filter{ImageTag: image, FsSlice: containers}); err != nil {
		return nil, fmt.Errorf("name the image in %s: %w", folder, err)
	}
	return resources.AsYaml()
}

// Write renders the manifests of every kind of cluster into a folder, and returns the files.
func Write(manifests, to string, image types.Image) ([]string, error) {
	clusters, err := Clusters(manifests)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return nil, err
	}
	var written []string
	for file, folder := range clusters {
		text, err := Render(folder, image)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(to, file)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
		written = append(written, path)
	}
	slices.Sort(written)
	return written, nil
}
