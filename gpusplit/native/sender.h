/* Sending slices after the call that launched them is back: a bounded number of a queue's is enqueued and
 * not over at a time (GPUSPLIT_IN_FLIGHT), and nobody sleeps inside an enqueue for that.
 *
 * One thread for each queue that has something to send, as long as it has.  It sleeps until half of what
 * is on the device is over, and sends as much again.  It needs no lock that is held while something is
 * enqueued, so that it goes on whatever the program does meanwhile. */
#ifndef GPUSPLIT_SENDER_H
#define GPUSPLIT_SENDER_H

#include "queues.h"

/* The queue was given a launch that is not all sent, or whose end is to be told.  Without a thread all of
 * it is sent at once. */
void sender_wakes(struct queue *queue);

#endif
