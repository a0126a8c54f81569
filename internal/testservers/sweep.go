package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Labels of our containers: which process of which host they belong to.
const (
	labelHost = "io.millrace.test.host"
	labelPID  = "io.millrace.test.pid"
)

func ownerLabels() (map[string]string, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return map[string]string{labelHost: host, labelPID: strconv.Itoa(os.Getpid())}, nil
}

var swept sync.Once

// sweepOnce removes what test processes of this host left that are no more: those that were killed or
// ran into go test's -timeout, which ends a process without cleaning up. Testcontainers' own reaper does
// this too, where it is not switched off and its image can be had.
func sweepOnce(ctx context.Context, api *testcontainers.DockerClient) error {
	var err error
	swept.Do(func() { err = sweep(ctx, api) })
	return err
}

func sweep(ctx context.Context, api *testcontainers.DockerClient) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	list, err := api.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", labelHost+"="+host),
	})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, c := range list.Items {
		pid, err := strconv.Atoi(c.Labels[labelPID])
		if err != nil || alive(pid) {
			continue
		}
		_, err = api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		// Two processes that sweep at once may both see it.
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return fmt.Errorf("remove the container that test process %d left: %w", pid, err)
		}
	}
	return nil
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
