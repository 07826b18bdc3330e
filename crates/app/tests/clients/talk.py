"""Drives a server of instance HA by the real clients: openstacksdk, and the `openstack` command with its plug-in.

Usage: talk.py sdk|cli URL, with URL being http://HOST:PORT/v1, or `-` to take the cloud from clouds.yaml and OS_CLOUD.
Everything runs in this one process, as importing the clients is what takes long. It ends at the first surprise.
"""

import contextlib
import datetime
import io
import json
import os
import sys

CLOUD = os.environ.get("OS_CLOUD", "ostler")
HOST = os.environ.get("OSTLER_TEST_HOST", "node-1")
SECOND = os.environ.get("OSTLER_TEST_SECOND_HOST", "node-2")


def no_auth(url):
    """A clouds.yaml for a server without authentication."""
    with open("clouds.yaml", "w") as file:
        json.dump({"clouds": {CLOUD: {
            "auth_type": "none", "auth": {"endpoint": url}, "instance_ha_endpoint_override": url,
            "region_name": "RegionOne"}}}, file)
    os.environ["OS_CLIENT_CONFIG_FILE"] = os.path.abspath("clouds.yaml")


def sdk():
    import openstack
    from openstack import exceptions

    conn = openstack.connect(cloud=CLOUD)
    ha = conn.instance_ha
    # What the SDK's own functional tests assert of segments and hosts.
    segment = ha.create_segment(name="sdk-segment", recovery_method="auto", service_type="COMPUTE")
    assert segment.name == "sdk-segment" and segment.recovery_method == "auto" and segment.service_type == "COMPUTE"
    assert segment.is_enabled is True and segment.uuid
    assert [s.uuid for s in ha.segments(name="sdk-segment") if s.name == "sdk-segment"] == [segment.uuid]
    updated = ha.update_segment(segment.uuid, name="sdk-renamed", description="second", is_enabled=False)
    assert (updated.name, updated.description, updated.is_enabled) == ("sdk-renamed", "second", False)
    assert ha.get_segment(segment.uuid).name == "sdk-renamed"
    assert [s.uuid for s in ha.segments(is_enabled=False)] == [segment.uuid]
    assert list(ha.segments(is_enabled=True)) == []
    # By the object: the SDK then sends its integer id.
    assert ha.update_segment(ha.get_segment(segment.uuid), is_enabled=True).is_enabled is True

    host = ha.create_host(segment_id=segment.uuid, name=HOST, type="COMPUTE", control_attributes="SSH")
    assert (host.name, host.type, host.control_attributes) == (HOST, "COMPUTE", "SSH")
    assert (host.reserved, host.on_maintenance) == (False, False)
    assert host.failover_segment_id == segment.uuid
    assert [h.uuid for h in ha.hosts(segment.uuid)] == [host.uuid]
    changed = ha.update_host(host["uuid"], segment_id=segment.uuid, on_maintenance=True)
    assert changed.on_maintenance is True
    assert [h.uuid for h in ha.hosts(segment.uuid, on_maintenance=True)] == [host.uuid]
    assert [h.uuid for h in ha.hosts(segment.uuid, reserved=True)] == []
    ha.update_host(host["uuid"], segment_id=segment.uuid, on_maintenance=False)
    assert ha.get_host(host.uuid, segment.uuid).on_maintenance is False

    # As a monitor: what is taken, what is a duplicate, what makes no sense.
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    vm = {"event": "LIFECYCLE", "vir_domain_event": "STOPPED_SHUTDOWN", "instance_uuid": "9d3a0000-0000-4000-8000-000000000001"}
    taken = ha.create_notification(type="VM", hostname=HOST, generated_time=now, payload=vm)
    assert taken.status == "new" and taken.type == "VM" and taken.payload == vm and taken.source_host_uuid == host.uuid
    shown = ha.get_notification(taken.notification_uuid)
    assert shown.notification_uuid == taken.notification_uuid
    assert shown.recovery_workflow_details is None, "at version 1.0"
    ha.default_microversion = "1.1"
    assert ha.get_notification(taken.notification_uuid).recovery_workflow_details == []
    ha.default_microversion = None
    gone = {"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}
    failed = ha.create_notification(type="COMPUTE_HOST", hostname=HOST, generated_time=now, payload=gone)
    try:
        ha.create_notification(type="COMPUTE_HOST", hostname=HOST, generated_time=now, payload=gone)
        raise AssertionError("a duplicate was taken")
    except exceptions.ConflictException:
        pass
    try:
        ha.create_notification(type="COMPUTE_HOST", hostname="stranger", generated_time=now, payload=gone)
        raise AssertionError("a stranger was heard")
    except exceptions.BadRequestException:
        pass
    try:
        ha.update_segment(segment.uuid, description="busy")
        raise AssertionError("a segment in use was changed")
    except exceptions.ConflictException:
        pass
    assert list(ha.vmoves(failed.notification_uuid)) == []
    listed = [n.notification_uuid for n in ha.notifications(limit=1)]
    assert listed == [failed.notification_uuid, taken.notification_uuid], "page by page, newest first"
    assert [n.type for n in ha.notifications(type="VM")] == ["VM"]
    since = (now - datetime.timedelta(hours=1)).isoformat()
    assert len(list(ha.notifications(generated_since=since))) == 2
    try:
        ha.get_segment("none")
        raise AssertionError("what is not there was shown")
    except exceptions.NotFoundException:
        pass
    other = ha.create_segment(name="sdk-other", recovery_method="reserved_host", service_type="COMPUTE")
    spare = ha.create_host(segment_id=other.uuid, name=SECOND, type="COMPUTE", control_attributes="SSH", reserved=True)
    ha.delete_host(spare.uuid, other.uuid)
    assert list(ha.hosts(other.uuid)) == []
    ha.delete_segment(ha.get_segment(other.uuid))
    assert [s.uuid for s in ha.segments()] == [segment.uuid]
    print("sdk: all as with Masakari")


def cli():
    from openstackclient import shell

    def run(*words, fails=False):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = shell.main(list(words))
            except SystemExit as end:
                code = end.code or 0
        if bool(code) != fails:
            sys.exit(f"openstack {' '.join(words)}: exit {code}\n{out.getvalue()}{err.getvalue()}")
        print("openstack", " ".join(words))
        return out.getvalue()

    def rows(*words):
        return json.loads(run(*words, "-f", "json"))

    run("segment", "--help")
    made = rows("segment", "create", "S1", "reserved_host", "COMPUTE")
    assert made["name"] == "S1" and made["is_enabled"] is True, made
    for name, more in ((HOST, []), (SECOND, ["--reserved", "True"])):
        host = rows("segment", "host", "create", name, "COMPUTE", "SSH", "S1", *more)
        assert host["name"] == name and host["reserved"] is bool(more), host
    listed = rows("segment", "list")
    assert [s["name"] for s in listed] == ["S1"] and "is_enabled" in listed[0], listed
    flags = rows("segment", "host", "list", "S1", "-c", "name", "-c", "reserved", "-c", "on_maintenance")
    assert {h["name"]: (h["reserved"], h["on_maintenance"]) for h in flags} == {HOST: (False, False), SECOND: (True, False)}
    assert rows("segment", "show", "S1")["recovery_method"] == "reserved_host"
    assert rows("segment", "list", "--limit", "1", "--sort", "name:asc", "--filters", "recovery_method=auto") == []
    changed = rows("segment", "update", "--recovery_method", "auto", "--service_type", "COMPUTE", "S1")
    assert changed["recovery_method"] == "auto"
    assert rows("segment", "update", "--is_enabled", "False", "S1")["is_enabled"] is False
    assert rows("segment", "update", "--is_enabled", "True", "--description", "d", "--name", "S2", "S1")["name"] == "S2"
    host = rows("segment", "host", "update", "--reserved=False", "S2", SECOND)
    assert host["reserved"] is False
    host = rows("segment", "host", "update", "--on_maintenance=True", "S2", HOST)
    assert host["on_maintenance"] is True
    time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    gone = json.dumps({"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"})
    run("notification", "create", "COMPUTE_HOST", HOST, time, gone, fails=True)
    host = rows("segment", "host", "update", "--on_maintenance=False", "S2", HOST)
    assert host["on_maintenance"] is False
    assert rows("segment", "host", "show", "S2", HOST)["control_attributes"] == "SSH"
    rows("segment", "host", "update", "S2", SECOND, "--type", "COMPUTE", "--control_attributes", "IPMI", "--reserved", "True")
    run("segment", "create", "S2", "auto", "COMPUTE", fails=True)
    run("segment", "create", "S3", "sometimes", "COMPUTE", fails=True)
    started = json.dumps({"event": "STARTED", "host_status": "NORMAL"})
    note = rows("notification", "create", "COMPUTE_HOST", SECOND, time, started)
    taken = rows("notification", "create", "COMPUTE_HOST", HOST, time, gone)
    assert taken["status"] == "new" and taken["type"] == "COMPUTE_HOST", taken
    uuids = [n["notification_uuid"] for n in rows("notification", "list")]
    assert uuids == [taken["notification_uuid"], note["notification_uuid"]], uuids
    shown = rows("notification", "show", taken["notification_uuid"])
    assert "recovery_workflow_details" in shown, shown
    assert rows("notification", "vmove", "list", taken["notification_uuid"]) == []
    run("segment", "host", "delete", "S2", SECOND, fails=True)
    # The plug-in prints why, and calls that no failure.
    run("segment", "delete", "S2")
    assert len(rows("segment", "host", "list", "S2")) == 2
    run("segment", "show", "S9", fails=True)
    made = rows("segment", "create", "S4", "rh_priority", "COMPUTE", "--description", "x", "--is_enabled", "False")
    assert made["is_enabled"] is False and made["description"] == "x"
    run("segment", "delete", "S4")
    assert [s["name"] for s in rows("segment", "list")] == ["S2"]
    print("cli: all as with Masakari")


if __name__ == "__main__":
    if sys.argv[2] != "-":
        no_auth(sys.argv[2])
    os.environ["OS_CLOUD"] = CLOUD
    {"sdk": sdk, "cli": cli}[sys.argv[1]]()
