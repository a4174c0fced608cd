package hudson.security;

public class FullControlOnceLoggedInAuthorizationStrategy {
    public boolean anonymous = true;

    public void setAllowAnonymousRead(boolean allow) { anonymous = allow; }
}
