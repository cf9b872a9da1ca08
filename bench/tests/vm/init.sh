#!/bin/busybox sh
# The first program of a guest: it brings up what cases need and then does what it is told, line by line, on the second
# serial port. After each line it says "@@" and how the line ended. Where the guest has systemd, that becomes the first process,
# and this goes on beside it.
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
mkdir -p /run/mcr
ip link set lo up
# No address waits for duplicates here: nobody else is on these links.
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
for module in /modules/*.ko; do
    case "$module" in
    *bonding*) insmod "$module" max_bonds=0 ;; # none that nobody asked for
    *) insmod "$module" ;;
    esac
done

# Gives every NIC the name that the kernel's command line has for its address: mcr.nic=ADDRESS,NAME
name_nics() {
    for nic in $(tr ' ' '\n' </proc/cmdline | sed -n 's/^mcr\.nic=//p'); do
        for folder in /sys/class/net/*; do
            name=${folder##*/}
            if [ "$name" != "${nic#*,}" ] && [ "$(cat "$folder/address")" = "${nic%,*}" ] && [ -e "$folder/device" ]; then
                ip link set "$name" down
                ip link set "$name" name "${nic#*,}"
            fi
        done
    done
}
name_nics

# Counts the calls of kernel functions that copy frames, and of those that do not: what the kernel itself says.
count_calls() {
    cd /sys/kernel/tracing || return
    for pair in rx_copy:__xsk_rcv tx_copy:__xsk_generic_xmit tx_zero:xsk_tx_peek_release_desc_batch tx_zero1:xsk_tx_peek_desc; do
        function=$(sed -n "s/^[0-9a-f]* [tT] \(${pair#*:}\(\.constprop\.0\)\?\)\$/\1/p" /proc/kallsyms | head -n 1)
        [ -n "$function" ] && echo "p:mcr/${pair%%:*} $function" >>kprobe_events
    done
    echo 1 >events/mcr/enable
    cd /
}
count_calls 2>/dev/null

# Waits until a link has its carrier.
wait_for_carrier() {
    for _ in $(seq 300); do
        [ "$(cat "/sys/class/net/$1/carrier")" = 1 ] && return 0
        sleep 0.1
    done
    return 1
}

# Waits until a link is "gone", or "there" under its name again.
wait_for_link() {
    for _ in $(seq 300); do
        [ "$2" = there ] && name_nics
        if [ -e "/sys/class/net/$1" ]; then now=there; else now=gone; fi
        [ "$now" = "$2" ] && return 0
        sleep 0.1
    done
    return 1
}

# Waits until systemd has booted, as far as it is asked to.
wait_for_systemd() {
    for _ in $(seq 300); do
        systemctl is-active --quiet basic.target 2>/dev/null && return 0
        sleep 0.2
    done
    systemctl list-jobs
    return 1
}

# Starts mcr with the configuration in /tmp/relay.toml, and remembers its number.
start_mcr() {
    : >/tmp/mcr.log
    mcr run --json --config /tmp/relay.toml >/tmp/mcr.json 2>/tmp/mcr.log &
    echo $! >/tmp/mcr.pid
}

# Whether mcr has not ended yet.
mcr_runs() { grep -q '^State:.[^Z]' "/proc/$(cat /tmp/mcr.pid)/status" 2>/dev/null; }

# Waits up to $1 tenths of a second until the log has the text $2, or mcr has ended.
wait_for_log() {
    for _ in $(seq "$1"); do
        grep -q "$2" /tmp/mcr.log && return 0
        mcr_runs || break
        sleep 0.1
    done
    cat /tmp/mcr.log
    return 1
}

# Waits up to $1 tenths of a second until the file $2 has the text $3.
wait_for_text() {
    for _ in $(seq "$1"); do
        grep -q "$3" "$2" && return 0
        sleep 0.1
    done
    cat "$2"
    return 1
}

# Waits up to 30 s until the kernel has said the text $1.
wait_for_kernel() {
    for _ in $(seq 300); do
        dmesg | grep -qF "$1" && return 0
        sleep 0.1
    done
    dmesg | tail -n 20
    return 1
}

# Waits until a lane has died so often, and another has followed.
wait_for_deaths() {
    for _ in $(seq 1200); do
        [ "$(grep -c 'lane died' /tmp/mcr.log)" -ge "$1" ] && return 0
        sleep 0.05
    done
    cat /tmp/mcr.log
    return 1
}

# The process of the lane; there is none for a moment after one has died.
lane_of_mcr() {
    pid=$(cat /tmp/mcr.pid)
    for _ in $(seq 200); do
        # A lane is a child of the thread that follows it.
        lane=$(cat "/proc/$pid"/task/*/children)
        [ -n "$lane" ] && echo "$lane" && return 0
        sleep 0.05
    done
    return 1
}

# Ends mcr and shows what it counted.
stop_mcr() {
    kill "$(cat /tmp/mcr.pid)"
    for _ in $(seq 300); do
        mcr_runs || break
        sleep 0.1
    done
    wait "$(cat /tmp/mcr.pid)" || { cat /tmp/mcr.log; return 1; }
    cat /tmp/mcr.json
}

# Does what it is told.
serve() {
    # What systemd's tools say is read by a test.
    export SYSTEMD_PAGER=cat SYSTEMD_COLORS=0
    stty -F /dev/ttyS1 raw -echo
    exec 3<>/dev/ttyS1
    echo "@@ 0" >&3
    while IFS= read -r line <&3; do
        eval "$line" >&3 2>&1 </dev/null
        echo "@@ $?" >&3
    done
    poweroff -f
}

if [ -x /usr/lib/systemd/systemd ]; then
    serve &
    exec /usr/lib/systemd/systemd --unit=basic.target
fi
serve
